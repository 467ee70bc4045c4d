"""Perceptual studies: people choose which of two reconstructions looks more like the object in a picture.

A study is a page that needs nothing else, a plan that is written before anybody has seen it, and a key that says which
shape is which and stays with whoever runs the study.
"""
