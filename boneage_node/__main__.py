"""``python -m boneage_node`` is ``boneage-node``."""

from boneage_node.cli import main

if __name__ == "__main__":
    main()
