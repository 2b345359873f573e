"""How many bytes the readers of datasets hold at a time, and how many a picture may have: beyond that it is broken."""

MOST_IMAGE_BYTES = 256 << 20
"""No picture of MAX_PIXELS is this large. A larger file (an archive, a film, a sparse file) would fill the memory."""
PIECE_BYTES = 64 << 20
"""The most bytes of pictures that are read together. A larger picture is read alone."""
HELD_BYTES = 256 << 20
"""The most bytes of one shard's pictures that are held in memory. The pictures of a larger shard go to a file."""
MOST_LINE_CHARACTERS = 1 << 20
"""The longest line of a list."""
MOST_LABEL_BYTES = 64 << 10
"""The largest file that holds a label."""
