"""Train a convolutional network on scikit-learn's handwritten digits, save it, go on training, and write it as a native library.

    python examples/digits_cnn.py
"""
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import dlcompile as keras
from dlcompile import layers

keras.utils.set_random_seed(1)
images, labels = load_digits(return_X_y=True)
images = (images / 16).reshape(-1, 8, 8, 1).astype("float32")
train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=1 / 3, random_state=0, stratify=labels)

model = keras.Sequential([
    layers.Input((8, 8, 1)),
    layers.Conv2D(32, 3, padding="same", use_bias=False),
    layers.BatchNormalization(momentum=0.9),
    layers.Activation("relu"),
    layers.MaxPooling2D(),
    layers.Conv2D(64, 3, padding="same", activation="relu"),
    layers.MaxPooling2D(),
    layers.Flatten(),
    layers.Dropout(0.4),
    layers.Dense(10),
])
steps = len(train_x) // 32 + 1
model.compile(
    optimizer=keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(5e-3, 12 * steps), weight_decay=1e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, epochs=8, validation_data=(test_x, test_y), verbose=2)

model.save("digits.keras")                        # the optimizer's state too: this goes on as if nothing had happened
model = keras.models.load_model("digits.keras")
model.fit(train_x, train_y, initial_epoch=8, epochs=12, validation_data=(test_x, test_y), verbose=2)
print(f"accuracy on the digits that were held out: {model.evaluate(test_x, test_y, verbose=0)[1]:.2%}")

library = model.export("digits.so", batch=1)      # and digits.h: no Python where it runs
call = keras.load(library)
scores = np.concatenate([call(test_x[i:i + 1]) for i in range(100)])
print(f"{library} agrees: {np.abs(scores - model.predict(test_x[:100], verbose=0)).max() < 1e-3}")
