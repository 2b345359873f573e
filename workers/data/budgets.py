"""How many bytes the readers of datasets take at once, and for one picture: what is more is a broken picture."""

MOST_IMAGE_BYTES = 256 << 20
"""No picture of MAX_PIXELS is as large; a file that is (an archive, a film, a hole on the disk) would fill memory."""
PIECE_BYTES = 64 << 20
"""Of pictures that are read together; one that is larger comes alone."""
HELD_BYTES = 256 << 20
"""Of one shard's pictures in memory, where all of them are wanted at hand; more of them lie in a temporary file."""
MOST_LINE_CHARACTERS = 1 << 20
"""Of a list, which is read line by line."""
MOST_LABEL_BYTES = 64 << 10
"""Of a label that is a file."""
