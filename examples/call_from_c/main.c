/* Calls distance.so: points[batch][2] → distance[batch]. */
#include <math.h>
#include <stdio.h>

#include "distance.h"

int main(void)
{
    float points[3][2] = {{3, 4}, {5, 12}, {8, 15}};
    float result[3];

    distance_options options = {.threads = 1}; /* null instead of &options: as many as there are CPUs and as can pay */
    distance *context = distance_create(&options);
    if (!context) {
        fprintf(stderr, "%s\n", distance_error(NULL));
        return 1;
    }
    if (distance_run(context, 3, &points[0][0], result) != DLC_OK) {
        fprintf(stderr, "%s\n", distance_error(context));
        return 1;
    }
    for (int i = 0; i < 3; ++i)
        printf("|(%g, %g)| = %g\n", points[i][0], points[i][1], result[i]);
    printf("%lld bytes of arena for 3 points\n", (long long)distance_arena_bytes(3, 1));

    distance_destroy(context);
    return fabsf(result[2] - 17) > 1e-4f;
}
