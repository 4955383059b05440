"""The use case: a classifier of Fashion-MNIST, its training, its registration and its accuracy gate."""
