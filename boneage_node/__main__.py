"""``python -m boneage_node`` is ``boneage-node``."""

from .cli import main

if __name__ == "__main__":
    main()
