void contraction_0(dlc_team *team, const float *restrict p0, const float *restrict p1, float *restrict p2)
{
    const dlc_range part = dlc_split(team, 48);
    for (int64_t p = part.begin; p < part.end; ++p) {
        const int64_t nb = p / 12;
        const int64_t rb = p % 12;
        float tile[96] DLC_ALIGNED;
        dlc_tile_contract(6, 16, 0, dlc_min(70 - rb * 6, 6), p0 + rb * 18432, 3072, 1, 0, 1, 0, 3072, 1, p1 + nb * 49152, 49152, tile);
        for (int64_t i = 0; i < dlc_min(70 - rb * 6, 6); ++i) {
            const int64_t m = i + rb * 6;
            #pragma omp simd
            for (int64_t j = 0; j < 16; ++j) {
                p2[j + m * 64 + nb * 16] = dlc_maximum_f32(tile[i * 16 + j], 0.0f);
            }
        }
    }
}
