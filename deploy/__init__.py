"""From a registered model version to answers: the Seldon wrapper, its image, and the SeldonDeployment.

`FashionClassifier.py` and `fashion_classifier/` run in the serving environment and are the image's `/app`;
`release/` runs in the working environment.
"""
