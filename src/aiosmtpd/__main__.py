"""``python -m aiosmtpd`` is the command ``aiosmtpd``."""

from .main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
