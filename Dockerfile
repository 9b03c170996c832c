# Verdicts, reports, imports, recorded answers and endpoints, without torch: `make image` builds the wheel and this.
# Locked packages by hash, and a user without rights; the tracking server is named by MLFLOW_TRACKING_URI:
#   docker run --rm -e MLFLOW_TRACKING_URI -v "$PWD:/work" mlbaseline gate suite.yaml
FROM python:3.11-slim AS packages
COPY requirements/gate.txt dist/mlbaseline-*.whl /build/
RUN python -m venv /opt/mlbaseline
RUN /opt/mlbaseline/bin/pip install --no-cache-dir --no-deps --require-hashes -r /build/gate.txt
RUN /opt/mlbaseline/bin/pip install --no-cache-dir --no-deps /build/mlbaseline-*.whl

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 mlbaseline
COPY --from=packages /opt/mlbaseline /opt/mlbaseline
ENV PATH=/opt/mlbaseline/bin:$PATH MLFLOW_DISABLE_TELEMETRY=true PYTHONUNBUFFERED=1
USER mlbaseline
WORKDIR /work
ENTRYPOINT ["mlbaseline"]
CMD ["--help"]
