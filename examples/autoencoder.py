"""An autoencoder: handwritten digits through six numbers and back, and a picture of what comes out, autoencoder.png.

    python examples/autoencoder.py
"""
import struct
import zlib
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import dlcompile as keras
from dlcompile import layers


def write_png(path, grey):
    """Write numbers from 0 to 1, [rows, columns], as a PNG: a signature, and chunks of length, name, data and checksum."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (np.clip(grey, 0, 1) * 255).round().astype(np.uint8)
    header = struct.pack(">IIBBBBB", *rows.shape[::-1], 8, 0, 0, 0, 0)       # eight bits a pixel, grey, not interlaced
    filtered = np.pad(rows, ((0, 0), (1, 0)))                                # each row begins with 0: its pixels are not filtered
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(filtered.tobytes())) + chunk(b"IEND", b""))


keras.utils.set_random_seed(1)
pixels = (load_digits().data / 16).astype("float32")
train, test = pixels[:1500], pixels[1500:]

picture = keras.Input((64,), name="picture")
code = layers.Dense(6, name="code")(layers.Dense(64, activation="relu")(picture))
encoder = keras.Model(picture, code, name="encoder")
decoder = keras.Sequential([layers.Input((6,)), layers.Dense(64, activation="relu"), layers.Dense(64, activation="sigmoid")], name="decoder")
model = keras.Model(picture, decoder(encoder(picture)), name="autoencoder")
model.compile(keras.optimizers.Adam(3e-3), loss="mse")
model.fit(train, train, epochs=60, batch_size=60, verbose=0)

center = train.mean(0)                                                       # six principal components, for comparison
axes = np.linalg.svd(train - center, full_matrices=False)[2][:6]
linear = center + (test - center) @ axes.T @ axes
back = model.predict(test, batch_size=len(test), verbose=0)
print(f"mean squared error on {len(test)} digits that were held out: {np.mean((back - test) ** 2):.4f}, "
      f"with the best linear code {np.mean((linear - test) ** 2):.4f}")

rows = [test[:16], back[:16]]
image = np.vstack([np.hstack([np.pad(d.reshape(8, 8), 1) for d in row]) for row in rows])
write_png("autoencoder.png", np.kron(image, np.ones((6, 6))))                # pixels six times as large
print("autoencoder.png: above what goes in, below what comes out")
print("the code of the first:", np.array2string(np.asarray(encoder(test[:1]))[0], precision=1))
