# Untried: written where no Docker was at hand; its pip commands were run outside of it.
#   docker build --tag sartorius .
#   docker run --rm --user "$(id -u)" --volume "$PWD:/data" sartorius make_synthetic --out made
# docs/install.md says how to build it for GPUs. Both images need the same Python, 3.11 to 3.13.
ARG BUILD_IMAGE=python:3.11-bookworm
ARG RUN_IMAGE=python:3.11-slim-bookworm

# Every wheel at its locked version; mmcv is compiled here, in about 11 minutes on 2 cores.
FROM ${BUILD_IMAGE} AS wheels
ARG PIP_EXTRA_INDEX_URL FORCE_CUDA TORCH_CUDA_ARCH_LIST
COPY . /checkout
RUN /checkout/tools/setup/wheelhouse.sh pack /wheels

FROM ${RUN_IMAGE}
# What opencv-python links to.
RUN apt-get update && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels torch onedl-mmcv 'sartorius-cells[mmdet,workflow]'
# Caches that any user can write.
ENV MPLCONFIGDIR=/tmp/matplotlib NUMBA_CACHE_DIR=/tmp/numba
WORKDIR /data
ENTRYPOINT ["sartorius"]
CMD ["--help"]
