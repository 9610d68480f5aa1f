# The images of a release. .github/scripts/image.sh makes the folder that they are built from: for each architecture the
# static program, and CML's older names as links to it.

# What an image of yours can take the program from: COPY --from=org/cml:1.2.3 / /
FROM scratch AS cml
ARG TARGETARCH
COPY ${TARGETARCH}/ /
ENV PATH=/usr/local/bin
LABEL org.opencontainers.image.title="cml" \
      org.opencontainers.image.description="Reports of machine-learning runs as comments on pull requests" \
      org.opencontainers.image.source="https://github.com/org/setup-cml-rs" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/usr/local/bin/cml"]

# Bitbucket's pipe. `pr create` needs git.
FROM alpine:3.22 AS pipe
ARG TARGETARCH
RUN apk add --no-cache git
COPY ${TARGETARCH}/ /
LABEL org.opencontainers.image.title="cml-pipe" \
      org.opencontainers.image.description="Bitbucket Pipelines pipe of cml" \
      org.opencontainers.image.source="https://github.com/org/setup-cml-rs" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/usr/local/bin/cml", "pipe"]
