// No validator: the badge would send this document to somebody else's server.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  validatorUrl: null,
  deepLinking: true,
  docExpansion: "none",
  displayRequestDuration: true,
  persistAuthorization: false,
});
