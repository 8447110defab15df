/* Gives wrk a client certificate, which it has no option for: loaded in front of OpenSSL, every context gets the chain
   and key that WRIT_BENCH_CERT and WRIT_BENCH_KEY name. gcc -shared -fPIC client-certificate.c -o client-certificate.so */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_method_st SSL_METHOD;
int SSL_CTX_use_certificate_chain_file(SSL_CTX *context, const char *file);
int SSL_CTX_use_PrivateKey_file(SSL_CTX *context, const char *file, int type);

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
  SSL_CTX *(*real)(const SSL_METHOD *) = (SSL_CTX * (*)(const SSL_METHOD *)) dlsym(RTLD_NEXT, "SSL_CTX_new");
  SSL_CTX *context = real(method);
  const char *cert = getenv("WRIT_BENCH_CERT"), *key = getenv("WRIT_BENCH_KEY");
  if (context && cert && key &&
      (SSL_CTX_use_certificate_chain_file(context, cert) != 1 || SSL_CTX_use_PrivateKey_file(context, key, 1) != 1)) {
    fprintf(stderr, "cannot load %s and %s\n", cert, key);
    exit(1);
  }
  return context;
}
