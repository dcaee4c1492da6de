"""The one post-processing of validation, tuner, ensemble, submission and export: a chain of steps, and its tuner."""

from sartorius.postprocess.chain import Chain, build_chain, load_chain, save_chain

__all__ = ['Chain', 'build_chain', 'load_chain', 'save_chain']
