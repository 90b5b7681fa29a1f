#include <stdio.h>

int main(void)
{
	printf("hello, built on %s in %s\n", __DATE__, WHERE);
	return 0;
}
