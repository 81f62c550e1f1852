"""Write the public address of the book: `make publish-to OWNER/REPO`.

It stands in two files: `_config.yml`, from which the pages take it, and `CITATION.cff`, which the
repository's host reads as it is. Written again, it takes the place of the one before.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

HOST = "https://github.com"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the address; the exit status is 2 if it is none."""
    parser = argparse.ArgumentParser(description="Write the public address of the book.")
    parser.add_argument("repository", metavar="OWNER/REPO")
    parser.add_argument("--site", help="address of the site, where it is not the usual one")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    options = parser.parse_args(arguments)
    try:
        url, site = addresses(options.repository, options.site)
        changed = edited(options.root, url, site)
    except (ValueError, OSError) as error:
        print(f"publish-to: {error}", file=sys.stderr)
        return 2
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
    print(f"The repository is {url}, the site {site}. Build again: make book.")
    return 0


def addresses(repository: str, site: str | None = None) -> tuple[str, str]:
    """Return the addresses of the repository and of its site."""
    found = re.fullmatch(
        r"([A-Za-z0-9](?:-?[A-Za-z0-9]){0,38})/([A-Za-z0-9._-]{1,100})", repository
    )
    if found is None or found[2].strip(".") == "" or found[2].endswith(".git"):
        raise ValueError(
            f"expected OWNER/REPO, as in the repository's address, got {repository!r}; write for"
            " instance make publish-to someone/collapse."
        )
    owner, name = found.groups()
    home = f"{owner.lower()}.github.io"
    usual = f"https://{home}/" if name.lower() == home else f"https://{home}/{name}/"
    parts = urlsplit(site or usual)
    if parts.scheme != "https" or not parts.netloc or re.search(r"[\s\"'<>?#]", site or ""):
        raise ValueError(
            f"expected the site's address, such as https://books.example/collapse/, got {site!r}."
        )
    return f"{HOST}/{owner}/{name}", (site or usual).rstrip("/") + "/"


def edited(root: Path, url: str, site: str) -> dict[Path, str]:
    """Both files, as they are to be."""
    config, citation = root / "_config.yml", root / "CITATION.cff"
    text = config.read_text(encoding="utf-8")
    for section, key, value in (("repository", "url", url), ("html", "baseurl", site)):
        line = rf"(?m)^({section}:\n(?:  .*\n)*?  {key}: ).*$"
        text, count = re.subn(line, lambda m, v=value: f'{m[1]}"{v}"', text)
        if count != 1:
            raise ValueError(
                f"expected one line {key}: under {section}: in {config}, found {count}."
            )
    told = citation.read_text(encoding="utf-8")
    told = re.sub(r"(?m)^(repository-code|url): .*\n", "", told)
    told, count = re.subn(
        r"(?m)^(license: .*\n)", rf'\1repository-code: "{url}"\nurl: "{site}"\n', told
    )
    if count != 1:
        raise ValueError(f"expected one line license: in {citation}, found {count}.")
    return {config: text, citation: told}


if __name__ == "__main__":
    sys.exit(main())
