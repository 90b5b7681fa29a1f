#include <stdio.h>
#include <time.h>

int main(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("up for %ld days\n", (long)now.tv_sec / 86400);
	return 0;
}
