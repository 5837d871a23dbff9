"""Write digits.so and digits.h, with which a network for scikit-learn's handwritten digits trains from C, and the digits as digits.data.

    python make_trainer.py [DIRECTORY]

digits.data: int32 samples to train with, int32 samples held out; then for each sample 64 float32 pixels from 0 to 1 and an int32 label.
"""
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import dlcompile as keras

directory = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
pixels, labels = load_digits(return_X_y=True)
pixels, labels = (pixels / 16).astype(np.float32), labels.astype(np.int32)
train_x, test_x, train_y, test_y = train_test_split(pixels, labels, test_size=1 / 3, random_state=0, stratify=labels)
with open(directory / "digits.data", "wb") as file:
    file.write(np.array([len(train_y), len(test_y)], np.int32).tobytes())
    for x, y in (*zip(train_x, train_y), *zip(test_x, test_y)):
        file.write(x.tobytes() + y.tobytes())

keras.utils.set_random_seed(1)
model = keras.Sequential([
    keras.layers.Input((64,)),
    keras.layers.Dense(64, activation="relu"),
    keras.layers.Dropout(0.2),
    keras.layers.Dense(10, activation="softmax"),
])
model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.export_training(directory / "digits.so", like=(train_x, train_y))  # labels are int32, as in the file
print("written: digits.so, digits.h, digits.data")
