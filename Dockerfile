# graft on NVIDIA GPUs (and without one).
#   docker build -t graft .
#   docker run --gpus all -v ~/.cache/huggingface:/hf -v "$PWD":/work graft finetune job.yaml

# --- builds -----------------------------------------------------------------------------------------------------------------
FROM nvidia/cuda:13.0.2-devel-ubuntu24.04 AS devel
WORKDIR /graft
COPY setup.sh ./
COPY third_party third_party
COPY CMakeLists.txt CMakePresets.json ./
COPY include include
COPY src src
COPY recipes recipes
COPY configs configs
COPY tests/CMakeLists.txt tests/CMakeLists.txt
RUN ./setup.sh build && cmake --install build/release --prefix /opt/graft

# --- runs -------------------------------------------------------------------------------------------------------------------
FROM nvidia/cuda:13.0.2-base-ubuntu24.04
COPY --from=devel /graft/.deps/venv/lib /graft/.deps/venv/lib
COPY --from=devel /opt/graft /opt/graft
ENV PATH=/opt/graft/bin:$PATH HF_HOME=/hf
VOLUME /hf
WORKDIR /work
ENTRYPOINT ["graft"]
CMD ["--help"]
