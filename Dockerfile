# The service, without torch. The model is not in the image: mount it at /model.
#   docker build -t tagdistill .
#   docker run --read-only --publish 127.0.0.1:8000:8000 --volume "$PWD/results/demo/export/posterior/seed-0:/model:ro" tagdistill
FROM python:3.11-slim AS build
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
COPY --from=build /wheels /wheels
COPY constraints.txt /wheels/constraints.txt
RUN python -m pip install --no-cache-dir --constraint /wheels/constraints.txt "$(echo /wheels/tagdistill-*.whl)[serve]"
# Nothing is written while it runs: the file system may be read-only.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
USER 65534:65534
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tagdistill", "serve", "--host", "0.0.0.0", "--port", "8000", "--model"]
CMD ["/model"]
