#include <stdio.h>
#include "config.h"

int main(void)
{
	printf("%s %d %s\n", BUILD_KERNEL, BUILD_THREADS, BUILD_DATE);
	return 0;
}
