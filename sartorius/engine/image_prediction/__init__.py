"""Prediction of image files that belong to no data set, as tools/predict.py and ``sartorius.load_model`` do it.

From one image to a whole run: :mod:`model` predicts the frames of one image, :mod:`image` writes its files and its
record (:mod:`records`), :mod:`folder` does so for many images in one process or several, and :mod:`run_files` writes
the tables and pages of the run.
"""
