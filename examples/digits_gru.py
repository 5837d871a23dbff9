"""Read handwritten digits row by row, from above and from below: two GRUs, one for each direction.

    python examples/digits_gru.py
"""
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

import dlcompile as keras
from dlcompile import layers

keras.utils.set_random_seed(1)
pixels, labels = load_digits(return_X_y=True)
rows = (pixels / 16).reshape(-1, 8, 8).astype("float32")          # [pictures, steps, pixels of a row]
train_x, test_x, train_y, test_y = train_test_split(rows, labels, train_size=1200, random_state=0, stratify=labels)

rows_in = keras.Input((8, 8), name="rows")
x = layers.Bidirectional(layers.GRU(32, return_sequences=True))(rows_in)      # [pictures, 8, 2 * 32]
x = layers.GlobalMaxPooling1D()(x)
x = layers.Dropout(0.2)(x)
digit = layers.Dense(10, activation="softmax", name="digit")(x)
model = keras.Model(rows_in, digit)
model.compile(optimizer=keras.optimizers.Adam(5e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])

callbacks = [keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.3, patience=3, min_lr=1e-4),
             keras.callbacks.EarlyStopping("val_loss", patience=8, restore_best_weights=True)]
history = model.fit(train_x, train_y, epochs=40, batch_size=40, validation_split=0.1, verbose=0, callbacks=callbacks)
print(f"stopped after {len(history.epoch)} epochs, with a learning rate of {history.history['learning_rate'][-1]:.1e}")

scores = model.predict(test_x, batch_size=len(test_x), verbose=0)
matrix = confusion_matrix(test_y, scores.argmax(1))
print("rows: what a digit is, columns: what it is taken for")
print(matrix)
print(f"{np.trace(matrix) / matrix.sum():.2%} of the {len(test_y)} digits that were held out are recognised")
