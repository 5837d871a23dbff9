void map_0(dlc_team *team, const int64_t *restrict p0, const float *restrict p1, float *restrict p2, const int64_t n0, const int64_t n1)
{
    const dlc_range part = dlc_split(team, n0 * n1);
    for (int64_t i1 = part.begin; i1 < part.end; ++i1) {
        const int64_t index1 = dlc_maximum_i64(dlc_minimum_i64(p0[i1], 49), 0);
        #pragma omp simd
        for (int64_t i2 = 0; i2 < 24; ++i2) {
            p2[i1 * 24 + i2] = p1[i2 + index1 * 24];
        }
    }
}
