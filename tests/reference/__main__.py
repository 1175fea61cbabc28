"""Write docs/reference."""

from tests.reference import FOLDER, pages


def main() -> None:
    """Write every page and print its path."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
