"""Read handwritten digits row by row: the eight rows of a picture are a sequence, which an LSTM goes along.

    python examples/digits_lstm.py
"""
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import dlcompile as keras
from dlcompile import layers

keras.utils.set_random_seed(1)
pixels, labels = load_digits(return_X_y=True)
rows = (pixels / 16).reshape(-1, 8, 8).astype("float32")          # [pictures, steps, pixels of a row]
train_x, test_x, train_y, test_y = train_test_split(rows, labels, train_size=1200, random_state=0, stratify=labels)

model = keras.Sequential([
    layers.Input((8, 8)),
    layers.LSTM(64),
    layers.Dense(10, activation="softmax"),
])
model.compile(
    optimizer=keras.optimizers.RMSprop(keras.optimizers.schedules.CosineDecay(5e-3, 40 * 24), clipnorm=1.0),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
history = model.fit(train_x, train_y, batch_size=50, epochs=40, verbose=0).history    # 24 batches of one size: one step is compiled
for epoch in (0, 9, 19, 39):
    print(f"epoch {epoch + 1:2}: loss {history['loss'][epoch]:.3f}, accuracy {history['accuracy'][epoch]:.1%}")

_, accuracy = model.evaluate(test_x, test_y, batch_size=len(test_x), verbose=0)
print(f"{accuracy:.2%} of the {len(test_y)} digits that were held out are recognised")
