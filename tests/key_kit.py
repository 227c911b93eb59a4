"""A canary key in every spelling, and what of it is in a text or in any file below a folder."""

import base64
import gzip
import json
import sqlite3
import zipfile
import zlib
from contextlib import closing
from urllib.parse import quote, unquote

KEY = "sk-canary+7f3a/9c41=e2b8 d05"
ENCODED = {
    "plain": KEY,
    "percent": quote(KEY, safe=""),
    "percent, lower": quote(KEY, safe="").replace("%2B", "%2b").replace("%3D", "%3d")
                                         .replace("%2F", "%2f"),
    "percent, twice": quote(quote(KEY, safe=""), safe=""),
    "percent, all": "".join(f"%{byte:02x}" for byte in KEY.encode()),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 of the header": base64.b64encode(f"Bearer {KEY}".encode()).decode(),
    "base64 of a line": base64.urlsafe_b64encode(f"a{KEY}b".encode()).decode(),
    "hex": KEY.encode().hex(),
    "code": repr(f"Bearer {KEY}\r\n".encode()),
    "JSON": json.dumps(KEY).replace("/", "\\/"),
}  # fmt: skip


def traces(text, key=KEY):
    """Return the spellings of the key (at least ten characters of it) that are in a text."""
    parts = [key[start : start + 12] for start in range(0, len(key) - 11)]
    read = (text, unquote(text), unquote(unquote(text)), text.replace("\\/", "/"))
    found = [part for part in parts if any(part in one for one in read)]
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + key.encode()).decode()[4:-4]
        for coded in (whole, whole.replace("+", "-").replace("/", "_")):
            found += [
                coded[i : i + 12] for i in range(len(coded) - 11) if coded[i : i + 12] in text
            ]
    return found + [key.encode().hex()] * (key.encode().hex() in text.lower())


def contents(file):
    """Yield every text of a file: its bytes, the parts of an archive, the cells of a database."""
    raw = file.read_bytes()
    yield raw.decode("latin-1")
    if raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw).decode("latin-1")
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            yield from (archive.read(name).decode("latin-1") for name in archive.namelist())
    if raw[:15] == b"SQLite format 3":
        yield from cells(file)


def cells(file):
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as base:
        tables = base.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        for (table,) in tables:
            for row in base.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    if isinstance(cell, bytes):
                        yield unpacked(cell).decode("latin-1")


def unpacked(cell):
    try:
        return zlib.decompress(cell)
    except zlib.error:
        return cell


def leaks(folder, key=KEY):
    """Return the files below a folder, by name or content, that hold the key or a part of it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [
        path for path in files if any(traces(text, key) for text in (str(path), *contents(path)))
    ]
