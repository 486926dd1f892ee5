__attribute__((visibility("default"))) int goes_missing(void);
int goes_missing(void) { return 0; }
