# Stand-in for orthancteam/orthanc: Debian's Orthanc, with DICOMweb where that image keeps it.
FROM python:3.11-slim-bookworm
RUN apt-get -q update \
 && apt-get -q install -y --no-install-recommends orthanc orthanc-dicomweb \
 && apt-get clean && rm -rf /var/lib/apt/lists/* /etc/orthanc/* \
 && ln -s plugins /usr/share/orthanc/plugins-disabled \
 && install -d /var/lib/orthanc/db && chown -R 0:0 /var/lib/orthanc
CMD ["Orthanc"]
