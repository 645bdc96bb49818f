"""What files say, and what hostile ones can do: nothing but be refused, in bounded time and memory."""

from __future__ import annotations

import asyncio
import io
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject
from tests.stores.houses import ALPHA, BETA, scope_of

from partywall.errors import BadRequest, PayloadTooLarge
from partywall.stores import Limits
from partywall.stores.documents import parsing
from partywall.stores.documents.parsing import Parser, Text, media_type_of

A, B = scope_of(ALPHA), scope_of(BETA)
LIMITS = Limits(parse_seconds=20, text_characters=200_000, parse_memory_bytes=400 * 2**20)


def read(data: bytes, name: str, limits: Limits = LIMITS) -> Text:
    async def main() -> Text:
        return await Parser(limits).read(A, data, media_type_of(name, data, None))

    return asyncio.run(main())


def refusal(data: bytes, name: str, limits: Limits = LIMITS) -> str:
    with pytest.raises(BadRequest) as caught:
        read(data, name, limits)
    assert "secret" not in str(caught.value) + caught.value.public_message
    return caught.value.public_message


def pdf(*pages: str, compress: bool = False, encrypt: bool = False) -> bytes:
    """A PDF with a line of text on each page."""
    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(300, 300)
        font = DictionaryObject(
            {NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1")}
            | {NameObject("/BaseFont"): NameObject("/Helvetica")}
        )
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 10 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream.flate_encode() if compress else stream)
    if encrypt:
        writer.encrypt("a password", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def pdf_of_objects(*objects: bytes) -> bytes:
    """A PDF put together by hand, as its sender likes; the first object is the catalogue."""
    out, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
        + table
        + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))
    )


def pdf_bomb() -> bytes:
    """A page whose content is 300 MB of spaces, in 300 KB."""
    squeezed = zlib.compressobj(9)
    data = b"".join(squeezed.compress(b" " * 2**20) for _ in range(300)) + squeezed.flush()
    return pdf_of_objects(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(data), data),
    )


def pdf_without_end() -> bytes:
    """Two hundred pages that share a content of a million operators: minutes of work for whoever reads on."""
    data = zlib.compress(b"BT /F 9 Tf () Tj ET " * 250_000)
    kids = b" ".join(b"%d 0 R" % (4 + number) for number in range(200))
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    page = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 3 0 R /Resources << /Font << /F %b >> >> >>" % font
    )
    return pdf_of_objects(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%b] /Count 200 >>" % kids,
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(data), data),
        *[page] * 200,
    )


# -- What is read ---


def test_a_pdf_is_read_page_by_page() -> None:
    assert read(pdf("Refunds take 30 days", "Second page"), "a.pdf").text == "Refunds take 30 days\n\nSecond page\n\n"


def test_html_is_read_without_what_nobody_sees() -> None:
    page = b"""<!doctype html><html><head><title>T</title><style>p {}</style><script>steal()</script></head><body>
    <h1>Big <b>title</b></h1><p>Some <i>words</i>,
    more&nbsp;words.<script>steal()</script></p><noscript>no</noscript><ul><li>one<li>two</ul><h2>Next</h2>x<br>y</body>"""
    found = read(page, "a.html")
    assert found.text == "Big title\n\nSome words, more words.\n\none\ntwo\n\nNext\n\nx\ny"
    assert [found.text[place:].split("\n")[0] for place in found.headings] == ["Big title", "Next"]


def test_markdown_stays_as_it_is_and_shows_its_headings() -> None:
    source = "Intro\n\n# One\n\ntext\n\n```\n# no heading\n```\n\nTwo\n---\nend\r\n\r\n## Three"
    found = read(source.encode(), "a.md")
    assert found.text == source.replace("\r\n", "\n")
    assert [found.text[place:].split("\n")[0] for place in found.headings] == ["# One", "Two", "## Three"]


def test_text_is_taken_byte_for_byte_but_for_its_line_ends() -> None:
    assert read("\ufeffcaf\u00e9\r\nx\ry \U0001f600".encode(), "a.txt").text == "caf\u00e9\nx\ny \U0001f600"


@pytest.mark.parametrize(
    ("name", "data", "stated", "found"),
    [
        ("a", b"%PDF-1.7", None, "application/pdf"),
        ("a.txt", b"%PDF-1.7", "application/octet-stream", "application/pdf"),
        ("a.pdf", b"%PDF-1.7", "application/pdf; x=y", "application/pdf"),
        ("a", b" <!DOCTYPE HTML><p>", None, "text/html"),
        ("a.MD", b"# x", None, "text/markdown"),
        ("a.json", b"{}", None, "application/json"),
        ("a.exe", b"words", None, "text/plain"),
        ("a.html", b"<p>", "text/plain", "text/plain"),
    ],
    ids=range(8),
)
def test_the_media_type_comes_from_what_is_said_and_shown(
    name: str, data: bytes, stated: str | None, found: str
) -> None:
    assert media_type_of(name, data, stated) == found


@pytest.mark.parametrize(
    ("name", "data", "stated"),
    [
        ("a.docx", b"PK\x03\x04", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.png", b"\x89PNG", "image/png"),
        ("a.txt", b"%PDF-1.7", "text/plain"),
        ("a.pdf", b"plain", "application/pdf"),
        ("a.pdf", b"plain", None),
    ],
    ids=range(5),
)
def test_another_media_type_is_refused(name: str, data: bytes, stated: str | None) -> None:
    with pytest.raises(BadRequest):
        media_type_of(name, data, stated)


# -- What is hostile ---


HOSTILE: dict[str, Callable[[], tuple[bytes, str]]] = {
    "a bomb": lambda: (pdf_bomb(), "a.pdf"),
    "a PDF without end": lambda: (pdf_without_end(), "a.pdf"),
    "no PDF after its head": lambda: (b"%PDF-1.7\nsecret " + b"\0\xff" * 500, "a.pdf"),
    "a PDF cut short": lambda: (pdf("secret")[:400], "a.pdf"),
    "a PDF under a password": lambda: (pdf("secret", encrypt=True), "a.pdf"),
    "pages that contain themselves": lambda: (
        pdf_of_objects(b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R] /Count 9 >>"),
        "a.pdf",
    ),
    "a page of too much text": lambda: (b"<html><p>" + b"secret " * 60_000, "a.html"),
    "broken UTF-8": lambda: (b"secret \xff\xfe", "a.txt"),
    "broken UTF-8 in HTML": lambda: (b"<html>secret \xc3\x28", "a.html"),
    "no text": lambda: (b"secret \0\0\0", "a.bin"),
    "nothing but space": lambda: (b" \n\t ", "a.txt"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_in_plain_words(what: str) -> None:
    begun = time.monotonic()
    data, name = HOSTILE[what]()
    said = refusal(data, name, Limits(parse_seconds=3, text_characters=200_000, parse_memory_bytes=400 * 2**20))
    assert said.startswith("The file can't be used: ")
    assert time.monotonic() - begun < 60


def test_deep_html_is_read_without_recursion() -> None:
    assert read(b"<html>" + b"<div>" * 20_000 + b"deep", "a.html").text == "deep"


def test_a_text_with_too_much_in_it_is_too_large() -> None:
    with pytest.raises(PayloadTooLarge):
        read(b"x" * 200_001, "a.txt")


def test_a_reader_that_says_too_much_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If a parser were taken over: what it writes is bounded, and checked like anything hostile."""
    for program, said in (
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "there is too much in the file"),
        ("print('[]')", "or it is damaged"),
        ('print(\'{"text": "abc", "headings": [7]}\')', "or it is damaged"),
        ("import time; time.sleep(60)", "takes too long"),
    ):
        (tmp_path / "reader.py").write_text(program)
        monkeypatch.setattr(parsing, "_READER", tmp_path / "reader.py")
        assert said in refusal(b"<html>", "a.html", Limits(parse_seconds=1.5, text_characters=1000))


def test_a_reader_has_none_of_our_secrets_and_ends_with_its_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", "secret")
    (tmp_path / "reader.py").write_text(
        "import json, os, sys\nprint(json.dumps({'text': repr(sorted(os.environ)), 'headings': []}))"
    )
    monkeypatch.setattr(parsing, "_READER", tmp_path / "reader.py")
    assert "UPSTREAM_KEY" not in read(b"<html>", "a.html").text
    (tmp_path / "reader.py").write_text(
        f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )

    async def main() -> None:
        task = asyncio.create_task(Parser(LIMITS).read(A, b"<html>", "text/html"))
        async with asyncio.timeout(20):
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():  # noqa: ASYNC110 - a file tells
                await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()  # noqa: ASYNC240 - it is a look

    asyncio.run(main())


def test_one_tenant_s_slow_files_leave_the_other_a_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ten files of alpha's that hang, and beta's is read at once."""
    (tmp_path / "reader.py").write_text(
        "import sys, time\n"
        "if b'slow' in sys.stdin.buffer.read(): time.sleep(60)\n"
        """print('{"text": "x", "headings": []}')"""
    )
    monkeypatch.setattr(parsing, "_READER", tmp_path / "reader.py")

    async def main() -> None:
        parser = Parser(Limits(parse_seconds=50))
        slow = [asyncio.create_task(parser.read(A, b"<html>slow", "text/html")) for _ in range(10)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(30):
            assert (await parser.read(B, b"<html>fast", "text/html")).text == "x"
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(main())
