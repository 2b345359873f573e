"""Makes files as an attacker would, or as unusual writers do."""

import base64
import struct
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe


class _KeysInTheClear(pe.KmsClient):
    """Leaves keys unwrapped. The content of the file is encrypted nevertheless."""

    def wrap_key(self, key_bytes: bytes, _master_key: str) -> bytes:
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, _master_key: str) -> bytes:
        return base64.b64decode(wrapped_key)


def write_encrypted_parquet(file: Path) -> None:
    """A file with an encrypted image column and a plain footer. pyarrow aborts when asked for the column's size."""
    factory = pe.CryptoFactory(lambda _config: _KeysInTheClear())
    config = pe.EncryptionConfiguration(footer_key="f", column_keys={"c": ["image"]}, plaintext_footer=True)
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    table = pa.table({"image": [b"x" * 100] * 20, "label": [0, 1] * 10})
    with pq.ParquetWriter(file, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)


def png(width: int, height: int, color_type: int = 2, grey: int = 0) -> bytes:
    """A PNG of a single color. Its color type is 2 for RGB and 6 for RGBA."""
    line = b"\0" + bytes([grey]) * (width * {2: 3, 6: 4}[color_type])
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_pictures(folder: Path, count: int = 4) -> None:
    """Small valid pictures, all different."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(png(8, 8, grey=number))


def write_repeated_value(file: Path, size: int = 8 << 20, rows: int = 450) -> None:
    """A file of a few hundred bytes with one value, which every row repeats."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([bytes(size)]))
    pq.write_table(pa.table({"image": column}), file, compression="zstd", store_schema=False)


def write_many_labels(file: Path, rows: int) -> None:
    """A file with two labels, repeated over and over, and empty images."""
    schema = pa.schema([("image", pa.binary()), ("label", pa.int64())])
    some = 1_000_000
    batch = pa.table({"image": pa.nulls(some, pa.binary()), "label": pa.array([0, 1] * (some // 2))}, schema)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for _ in range(rows // some):
            writer.write_table(batch, row_group_size=some)
