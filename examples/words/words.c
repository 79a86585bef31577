/* words counts the lines, words and bytes of a text, as wc does: an ordinary C program that knows nothing of Casemate.
 * The event is on standard input, the answer goes to standard output; what it says on standard error is its log.
 *
 *     echo 'two words' | ./words                     natively
 *     casemate invoke words --data '"two words"'     in the sandbox
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    unsigned long lines = 0, words = 0, bytes = 0;
    int c, inside = 0;

    while ((c = getchar()) != EOF) {
        bytes++;
        if (c == '\n') {
            lines++;
        }
        if (isspace(c)) {
            inside = 0;
        } else if (!inside) {
            inside = 1;
            words++;
        }
    }
    if (ferror(stdin)) {
        fprintf(stderr, "reading the event failed\n");
        return 1;
    }
    fprintf(stderr, "counted %lu bytes\n", bytes);
    return printf("{\"lines\":%lu,\"words\":%lu,\"bytes\":%lu}\n", lines, words, bytes) < 0;
}
