"""Predict a number: how a disease goes on in the year after ten measurements, with normalised inputs, early stopping and mean errors.

    python examples/diabetes_regression.py
"""
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import dlcompile as keras
from dlcompile import layers

keras.utils.set_random_seed(1)
x, y = (array.astype("float32") for array in load_diabetes(return_X_y=True, scaled=False))
train_x, test_x, train_y, test_y = train_test_split(x, y, train_size=340, random_state=0)

normalization = layers.Normalization()      # part of the model: whoever calls it gives measurements as they are
normalization.adapt(train_x)
model = keras.Sequential([
    layers.Input((10,)),
    normalization,
    layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-2)),
    layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-2)),
    layers.Dense(1, bias_initializer=keras.initializers.Constant(float(train_y.mean()))),
    layers.Flatten(),
])
model.compile(optimizer=keras.optimizers.Adam(5e-3), loss=keras.losses.Huber(delta=30.0),
              metrics=["mae", keras.metrics.RootMeanSquaredError(name="rmse"), keras.metrics.R2Score(name="r2")])
stopping = keras.callbacks.EarlyStopping("val_mae", patience=20, restore_best_weights=True)
history = model.fit(train_x, train_y, epochs=200, batch_size=16, validation_split=0.2, verbose=0, callbacks=[stopping])
print(f"stopped after {len(history.epoch)} epochs; the best was epoch {stopping.best_epoch + 1}")

found = model.evaluate(test_x, test_y, verbose=0, return_dict=True)
print(f"errors on {len(test_y)} people who were held out: mean {found['mae']:.1f}, root mean square {found['rmse']:.1f}, R² {found['r2']:.2f}")
print(f"without a model: mean {np.abs(test_y - train_y.mean()).mean():.1f}, root mean square {(test_y - train_y.mean()).std():.1f}")
for name, value in zip(("predicted", "measured "), (model.predict(test_x[:8], verbose=0)[:, 0], test_y)):
    print(name, *(f"{v:5.0f}" for v in value[:8]))
