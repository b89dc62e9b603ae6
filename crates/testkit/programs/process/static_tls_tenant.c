/* A library whose only content is thread storage that must lie in the static block. */
#ifndef TENANT_BYTES
#define TENANT_BYTES 16
#endif
__attribute__((tls_model("initial-exec"), aligned(16))) __thread char tenant[TENANT_BYTES] = {1};

char *tenant_address(void);
char *tenant_address(void) { return tenant; }
