/* SPDX-License-Identifier: Apache-2.0 */
/* An application that does nothing: what the startup code alone takes. */
int main(void);

int main(void)
{
    return 0;
}
