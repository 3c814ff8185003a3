// OHIF's configuration: one data source, on this origin; nothing is asked of any other host.
// Back would show the images again without asking, also after a logout.
window.addEventListener('pageshow', (event) => {
  if (event.persisted) window.location.reload();
});

window.config = {
  name: 'sentinode',
  routerBasename: null,
  extensions: [],
  modes: [],
  showStudyList: false,
  maxNumberOfWebWorkers: 3,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  // The session has ended: the page becomes the login.
  httpErrorHandler: (error) => {
    if (error.status === 401) window.location.reload();
  },
  // Browsers open six connections to one host over HTTP/1.1.
  maxNumRequests: { interaction: 6, thumbnail: 4, prefetch: 4 },
  showErrorDetails: 'always',
  customizationService: [{ 'ohif.tours': { $set: [] } }],
  defaultDataSourceName: 'sentinode',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'sentinode',
      configuration: {
        friendlyName: 'Archive',
        name: 'archive',
        qidoRoot: window.location.origin + '/dicom-web',
        wadoRoot: window.location.origin + '/dicom-web',
        wadoUriRoot: window.location.origin + '/dicom-web',
        qidoSupportsIncludeField: false,
        supportsReject: false,
        dicomUploadEnabled: false,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
      },
    },
  ],
};
