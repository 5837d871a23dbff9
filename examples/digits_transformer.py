"""A small Transformer that reads handwritten digits as sixteen patches of 2×2 pixels.

    python examples/digits_transformer.py
"""
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import dlcompile as keras
from dlcompile import layers

WIDTH, HEADS, PATCHES = 32, 4, 16

keras.utils.set_random_seed(1)
pixels, labels = load_digits(return_X_y=True)
patches = (pixels / 16).reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, PATCHES, 4).astype("float32")
train_x, test_x, train_y, test_y = train_test_split(patches, labels, train_size=1200, random_state=0, stratify=labels)


class Positions(keras.Layer):
    """Adds to each step of a sequence a vector that is learned for its place."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.1), name="table")

    def call(self, x):
        return x + self.table


def block(x):
    """Attention and a dense network, each on what is normalised, added to what they are given (Xiong et al. 2020)."""
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y)])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(2 * WIDTH, activation="gelu")(y)
    return layers.Add()([x, layers.Dense(WIDTH)(y)])


inputs = keras.Input((PATCHES, 4), name="patches")
x = Positions()(layers.Dense(WIDTH)(inputs))
for _ in range(2):
    x = block(x)
x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
model = keras.Model(inputs, layers.Dense(10)(layers.Dropout(0.1)(x)))

epochs = 20
rate = keras.optimizers.schedules.CosineDecay(0.0, epochs * 24, warmup_target=4e-3, warmup_steps=2 * 24)       # of 24 batches each
model.compile(optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-3),
              loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
print(f"{model.count_params()} weights")
history = model.fit(train_x, train_y, batch_size=50, epochs=epochs, verbose=0).history
print("loss after epochs 1, 10, 20:", *(f"{history['loss'][i]:.3f}" for i in (0, 9, 19)))

_, accuracy = model.evaluate(test_x, test_y, batch_size=len(test_x), verbose=0)
print(f"{accuracy:.2%} of the {len(test_y)} digits that were held out are recognised")
