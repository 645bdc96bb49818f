"""A program of its own: reads one file of a format that can be hostile, and says what text is in it. Then it ends.

`parsing` starts it as `python -I reader.py FORMAT CHARACTERS MEMORY SECONDS`, gives it the file's bytes and reads
one JSON object: `{"text": …, "headings": […]}` or `{"refused": why}`. It imports nothing of partywall.

Promises: before it reads a byte, it has given up all but a bounded memory and processor time, and files and children
altogether. Nothing outlives it.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import warnings
from collections.abc import Iterator
from typing import Final

_MOST_NODES: Final = 1_000_000
_DEEPEST: Final = 400
_BLOCKS: Final = frozenset(
    """
    address article aside blockquote body br caption dd details dialog div dl dt fieldset figcaption figure footer form
    h1 h2 h3 h4 h5 h6 header hr html li main nav ol option p pre section summary table tbody td tfoot th thead tr ul
    """.split()  # noqa: SIM905 - sixty quoted words are no easier to read
)
_HEADINGS: Final = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_UNSEEN: Final = ("head", "iframe", "math", "noscript", "object", "script", "style", "svg", "template", "textarea")


class Refused(Exception):
    """The file can't be used; the words are for whoever sent it, and hold nothing of it."""


class Text:
    """What has been read so far."""

    def __init__(self, most_characters: int) -> None:
        self.parts: list[str] = []
        self.headings: list[int] = []
        self._most = most_characters
        self.length = 0

    def add(self, part: str) -> None:
        self.length += len(part)
        if self.length > self._most:
            raise Refused(f"there are more than {self._most} characters of text in the file")
        self.parts.append(part)

    def heading(self) -> None:
        """A heading begins here."""
        self.headings.append(self.length)


def read_pdf(data: bytes, text: Text) -> None:
    from pypdf import PdfReader  # noqa: PLC0415 - after the limits hold, and only for the format at hand
    from pypdf.errors import PyPdfError  # noqa: PLC0415 - as above

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Refused("the PDF is protected by a password")
        for page in reader.pages:
            found = page.extract_text().strip()
            if found:
                text.add(f"{found}\n\n")
    except PyPdfError as error:
        raise Refused("the PDF is damaged or uses something that isn't read") from error


def read_html(data: bytes, text: Text) -> None:
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - after the limits hold

    tree = LexborHTMLParser(_decoded(data))
    if tree.root is None:
        return
    tree.strip_tags(list(_UNSEEN))
    pending = ""  # what separates the next text from the last: nothing, a space, a line or a paragraph
    for tag, said in _walk(tree.root):
        if tag in _BLOCKS:
            pending = "\n" if tag in ("br", "li", "td", "th", "tr") and pending != "\n\n" else "\n\n"
            continue
        words = " ".join(said.split())
        if not words:
            pending = pending or (" " if said else "")
            continue
        if said[0].isspace():
            pending = pending or " "
        if text.length and pending:
            text.add(pending)
        if tag == "heading":
            text.heading()
        text.add(words)
        pending = " " if said[-1].isspace() else ""


def _walk(root: object) -> Iterator[tuple[str, str]]:
    """Tags of blocks as they open and close, and the texts between; a text just inside a heading is told as one."""
    # By hand, for a tree as deep as its sender likes would break recursion.
    stack = [(root, False)]
    nodes, in_heading = 0, False
    while stack:
        node, closing = stack.pop()
        tag = node.tag  # type: ignore[attr-defined]  # a selectolax node
        if closing:
            yield tag, ""
            continue
        nodes += 1
        if nodes > _MOST_NODES or len(stack) > _MOST_NODES:
            raise Refused("there are too many elements in the page")
        if tag == "-text":
            said = node.text_content or ""  # type: ignore[attr-defined]  # as above
            yield ("heading" if in_heading and said.strip() else tag), said
            in_heading = in_heading and not said.strip()
            continue
        if tag in _BLOCKS:
            in_heading = tag in _HEADINGS
            yield tag, ""
            stack.append((node, True))
        children = []
        child = node.child  # type: ignore[attr-defined]  # as above
        while child is not None:
            children.append((child, False))
            child = child.next
        stack.extend(reversed(children))


def read_markdown(data: bytes, text: Text) -> None:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - after the limits hold

    source = _decoded(data)
    text.add(source)
    # Lines as markdown-it counts them: it knows no line end but this one.
    starts = [0]
    for line in source.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    blocks = MarkdownIt("commonmark", {"maxNesting": 20}).disable("inline").parse(source)
    text.headings = sorted({starts[block.map[0]] for block in blocks if block.type == "heading_open" and block.map})


def _decoded(data: bytes) -> str:
    try:
        return (
            data.decode("utf-8-sig")
            .replace("\r\n", "\n")
            .replace("\r", "\n")
            .replace("\0", "\N{REPLACEMENT CHARACTER}")
        )
    except UnicodeDecodeError as error:
        raise Refused("the text is not UTF-8") from error


FORMATS: Final = {"pdf": read_pdf, "html": read_html, "markdown": read_markdown}


def give_up(memory_bytes: int, seconds: int) -> None:
    """Whatever isn't needed for reading one file."""
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(what, (most, most))


def main(kind: str, most_characters: int, memory_bytes: int, seconds: int) -> None:
    give_up(memory_bytes, seconds)
    warnings.simplefilter("ignore")
    text = Text(most_characters)
    answer: dict[str, object]
    try:
        FORMATS[kind](sys.stdin.buffer.read(), text)
        answer = {"text": "".join(text.parts), "headings": text.headings}
    except Refused as refused:
        answer = {"refused": str(refused)}
    except (MemoryError, RecursionError):
        answer = {"refused": "reading the file takes too much memory"}
    except Exception:  # noqa: BLE001 - whatever a parser makes of a hostile file, its words may hold some of it
        answer = {"refused": "the file is damaged or uses something that isn't read"}
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
