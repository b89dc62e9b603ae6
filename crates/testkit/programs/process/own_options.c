/* A program that carries options of its own. */
#include <stdlib.h>

const char *malloc_conf = "confirm_conf:true,narenas:3,dirty_max:1M";
const char *malloc_conf_2_conf_harder = "dirty_max:3M";

int main(void)
{
    void *volatile object = malloc(100);
    free(object);
    return object == NULL;
}
