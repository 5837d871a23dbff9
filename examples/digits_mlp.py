"""Train a dense network on scikit-learn's handwritten digits, in the manner of Keras, and keep the best epoch.

    python examples/digits_mlp.py
"""
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import dlcompile as keras

keras.utils.set_random_seed(1)
pixels, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(pixels / 16, labels, test_size=1 / 3, random_state=0, stratify=labels)

model = keras.Sequential([
    keras.layers.Input((64,)),
    keras.layers.Dense(64, activation="relu"),
    keras.layers.Dropout(0.2),
    keras.layers.Dense(10, activation="softmax"),
])
model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.summary()

model.fit(train_x, train_y, epochs=40, validation_split=0.1, verbose=2,
          callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True)])

loss, accuracy = model.evaluate(test_x, test_y, verbose=0)
print(f"{accuracy:.2%} of the {len(test_y)} digits that were held out are recognised, the loss is {loss:.3f}")
