/* What libseccomp makes of profiles: reads them from standard input, writes each as a count and its instructions. For the
 * tests alone, which compile it. */
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/mman.h>

int main(void) {
    char word[64], name[64];
    scmp_filter_ctx filter = NULL;
    while (scanf("%63s", word) == 1) {
        if (!strcmp(word, "profile")) {
            unsigned action;
            if (scanf("%u", &action) != 1) return 2;
            filter = seccomp_init(action);
            if (!filter) return 3;
        } else if (!strcmp(word, "arch")) {
            unsigned token;
            if (scanf("%u", &token) != 1) return 2;
            seccomp_arch_add(filter, token);
        } else if (!strcmp(word, "rule")) {
            unsigned action, count;
            struct scmp_arg_cmp args[6];
            if (scanf("%u %63s %u", &action, name, &count) != 3 || count > 6) return 2;
            for (unsigned i = 0; i < count; i++) {
                unsigned index, op;
                unsigned long long a, b;
                if (scanf("%u %u %llu %llu", &index, &op, &a, &b) != 4) return 2;
                args[i] = (struct scmp_arg_cmp){.arg = index, .op = op, .datum_a = a, .datum_b = b};
            }
            int number = seccomp_syscall_resolve_name(name);
            if (number == __NR_SCMP_ERROR) continue;
            int done = seccomp_rule_add_array(filter, action, number, count, args);
            if (done) fprintf(stderr, "rule %s: %d\n", name, done);
        } else if (!strcmp(word, "knows")) {
            if (scanf("%63s", name) != 1) return 2;
            uint32_t known = seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
            fwrite(&known, 4, 1, stdout);
            fflush(stdout);
        } else if (!strcmp(word, "end")) {
            int file = memfd_create("bpf", 0);
            if (file < 0 || seccomp_export_bpf(filter, file)) return 4;
            struct stat about;
            if (fstat(file, &about)) return 4;
            void *text = mmap(NULL, about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
            uint32_t count = about.st_size / 8;
            fwrite(&count, 4, 1, stdout);
            fwrite(text, 1, about.st_size, stdout);
            fflush(stdout);
            munmap(text, about.st_size);
            close(file);
            seccomp_release(filter);
        }
    }
    return 0;
}
