"""Engines that run PONCHO's packages, each optional: nothing here is imported before it is asked for.

``poncho.integrations.parsl`` needs Parsl, ``poncho.integrations.dask`` Dask's ``distributed``: the extras ``parsl`` and
``dask`` of PONCHO bring them.
"""
