# What python:3-slim is elsewhere, from Debian's own packages.
FROM scratch
ADD rootfs.tar /
ENV LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
CMD ["python3"]
