"""The network: a residual convolutional net small enough to train on two CPU cores in minutes.

Most of the arithmetic happens on 14x14 pixels and fewer: the first layer sees 2x2 blocks as channels, which costs
a quarter of a convolution at full resolution and loses no pixel.  Average pooling, because the gradient of
max pooling is slow on CPUs.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from dataset import SIDE

layers = tf.keras.layers


def build(width: int, late_width: int, depth: int, classes: int) -> tf.keras.Model:
    """uint8 [n, 28, 28] to logits float32 [n, classes].

    `width` is the number of filters at 14x14, `late_width` at 7x7 and 3x3; `depth` is the number of residual
    convolutions at 14x14 and at 3x3.
    """
    images = tf.keras.Input((SIDE, SIDE), dtype=tf.uint8)
    x = tf.cast(images, tf.float32)[..., tf.newaxis] / 255.0
    x = tf.nn.space_to_depth(x, 2)
    x = _convolution(x, width)
    x = _residual(x, depth)
    x = layers.AveragePooling2D(2)(x)
    x = _convolution(x, late_width)
    x = layers.AveragePooling2D(3, strides=2)(x)  # Windows of 2 would leave out the last of 7 rows.
    x = _residual(x, depth)
    x = layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(images, layers.Dense(classes)(x))


def _convolution(x: tf.Tensor, filters: int) -> tf.Tensor:
    # No bias: batch normalisation has one.  Its short memory fits epochs of a few hundred steps.
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def _residual(x: tf.Tensor, depth: int) -> tf.Tensor:
    for _ in range(depth):
        x = layers.Add()([x, _convolution(x, x.shape[-1])])
    return x


def logits(model: tf.keras.Model, images: tf.Tensor, flip: bool) -> tf.Tensor:
    """The answer of the trained model; with `flip` the mean of the logits for an image and its mirror image.

    Clothes have no handedness, digits have; where mirror images were trained on, the mean of the two views errs less
    than either (K. Jordan, "94% on CIFAR-10 in 3.29 seconds", arXiv 2404.00498).
    """
    if not flip:
        return model(images, training=False)
    return (model(images, training=False) + model(images[:, :, ::-1], training=False)) / 2


def parameter_count(model: tf.keras.Model) -> int:
    """All weights of the model, the running statistics of batch normalisation included."""
    return sum(int(np.prod(weight.shape)) for weight in model.weights)
