# Stand-in for orthancteam/orthanc: Debian's Orthanc and DICOMweb, configured by /etc/orthanc/*.json.
FROM python:3.11-slim-bookworm
RUN apt-get -q update \
 && apt-get -q install -y --no-install-recommends orthanc orthanc-dicomweb curl \
 && apt-get clean && rm -rf /var/lib/apt/lists/* /etc/orthanc/* \
 && install -d /var/lib/orthanc/db && chown -R 0:0 /var/lib/orthanc
ENTRYPOINT ["Orthanc"]
CMD ["/etc/orthanc"]
