/* A library whose constructor has the program free much, while the loader is at work. */
extern void control_release(void);

__attribute__((constructor)) static void constructor(void) { control_release(); }
