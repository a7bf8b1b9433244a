"""``python -m boneage_node`` is ``boneage-node``."""


def main() -> None:
    """Run the command line.

    It is imported here, for every process that a node starts imports the program's main module once more.
    """
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
