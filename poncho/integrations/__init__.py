"""Engines that run PONCHO's packages, each optional: nothing here is imported before it is asked for.

``poncho.integrations.parsl`` needs ``poncho[parsl]``, ``poncho.integrations.dask`` needs ``poncho[dask]``.
"""
