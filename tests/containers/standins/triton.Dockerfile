# Stand-in for the upstream Triton image: the real server of the wheel nvidia-pytriton at the paths
# of that image, with the Python backend only (no GPU, no ONNX Runtime or TensorRT backend).
FROM python:3.11-slim-bookworm
RUN apt-get -q update \
 && apt-get -q install -y --no-install-recommends python3-pip libpython3.11 curl \
 && rm -f /usr/lib/python3.*/EXTERNALLY-MANAGED \
 && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /tmp/
RUN python3 -m pip install --quiet --no-cache-dir --no-deps -c /tmp/constraints.txt nvidia-pytriton \
 && ln -s "$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" /opt/site \
 && mkdir -p /opt/tritonserver/bin /opt/tritonserver/backends/python \
 && ln -s /opt/site/pytriton/tritonserver/bin/tritonserver /opt/tritonserver/bin/ \
 && cp -a /opt/site/pytriton/tritonserver/backends/python/. /opt/tritonserver/backends/python/ \
 && cp -a /opt/site/pytriton/tritonserver/python_backend_stubs/3.11/triton_python_backend_stub \
      /opt/tritonserver/backends/python/
ENV PATH=/opt/tritonserver/bin:$PATH LD_LIBRARY_PATH=/opt/site/nvidia_pytriton.libs
CMD ["tritonserver"]
