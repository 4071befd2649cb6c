"""Prints the record of b"kiln" as TensorBoard's own writer frames it: the golden value of TensorBoardTests.

    pip install tensorboard && python tfrecord.py
"""

import io

from tensorboard.summary.writer import record_writer

file = io.BytesIO()
record_writer.RecordWriter(file).write(b"kiln")
print(file.getvalue().hex())
