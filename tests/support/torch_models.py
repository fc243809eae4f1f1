"""Well-known models in small: depth and connections as published, with fewer channels.

Each entry of MODELS has three input shapes without a batch; the network is traced with the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch", reason="builds torch models, and torch is not installed")
Tensor, nn, F = torch.Tensor, torch.nn, torch.nn.functional


class Vgg16(nn.Module):
    """Simonyan and Zisserman 2014, configuration D."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for count, factor in ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8)):
            for _ in range(count):
                layers += [nn.Conv2d(channels, width * factor, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width * factor
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(channels * 49, 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, 32), nn.ReLU(True), nn.Dropout(),
            nn.Linear(32, 10),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


class BasicBlock(nn.Module):
    """He et al. 2015: two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    """He et al. 2015: 1x1, 3x3, 1x1 and a shortcut; the 3x3 convolution has the stride."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(inputs, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (self.downsample(x) if self.downsample is not None else x))


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """He et al. 2015."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...], width: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages, inputs = [], width
        for number, depth in enumerate(depths):
            blocks = []
            for at in range(depth):
                blocks.append(block(inputs, width * 2**number, 2 if number and not at else 1))
                inputs = width * 2**number * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def double(inputs: int, outputs: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=padding), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=padding),
        nn.ReLU(),
    )  # fmt: skip


class CroppingUNet(nn.Module):
    """Ronneberger et al. 2015: no padding; the skips are cropped around their centre."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(4)]
        self.down = nn.ModuleList(
            [double(1 if not level else widths[level - 1], widths[level], 0) for level in range(4)]
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(widths[level + 1], widths[level], 2, stride=2) for level in (2, 1, 0)]
        )
        self.conv = nn.ModuleList([double(2 * widths[level], widths[level], 0) for level in (2, 1, 0)])
        self.head = nn.Conv2d(width, 2, 1)

    @staticmethod
    def crop(skip: Tensor, x: Tensor) -> Tensor:
        top = (skip.size(2) - x.size(2)) // 2
        left = (skip.size(3) - x.size(3)) // 2
        return skip[:, :, top : top + x.size(2), left : left + x.size(3)]

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level, stage in enumerate(self.down):
            x = stage(self.pool(x) if level else x)
            skips.append(x)
        skips.pop()
        for up, conv in zip(self.up, self.conv, strict=True):
            x = up(x)
            x = conv(torch.cat([self.crop(skips.pop(), x), x], dim=1))
        return self.head(x)


class PaddingUNet(nn.Module):
    """The other common variant: the upsampled map is padded to the size of the skip."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = double(3, width, 1)
        self.second = double(width, 2 * width, 1)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.last = double(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.first(x)
        x = self.up(self.second(F.max_pool2d(skip, 2)))
        rows, columns = skip.size()[2] - x.size()[2], skip.size()[3] - x.size()[3]
        x = F.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return self.last(torch.cat([skip, x], dim=1))


class ResizingUNet(nn.Module):
    """A U-Net that interpolates to the size of the skip."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = double(3, width, 1)
        self.second = double(width, 2 * width, 1)
        self.third = double(2 * width, 4 * width, 1)
        self.up2 = double(6 * width, 2 * width, 1)
        self.up1 = double(3 * width, width, 1)
        self.head = nn.Conv2d(width, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.first(x)
        two = self.second(F.max_pool2d(one, kernel_size=2))
        three = self.third(F.max_pool2d(two, kernel_size=2))
        up = F.interpolate(three, size=two.shape[2:], mode="bilinear", align_corners=False)
        up = self.up2(torch.cat((two, up), 1))
        up = F.interpolate(up, size=(one.size(2), one.size(3)), mode="nearest")
        return self.head(self.up1(torch.cat((one, up), 1)))


class Noise2Noise(nn.Module):
    """Lehtinen et al. 2018, table 2: n channels in, m out."""

    def __init__(self, n: int = 3, m: int = 3, width: int = 48, slope: float = 0.1) -> None:
        super().__init__()
        twice = 2 * width
        self.slope = slope
        self.enc_conv0 = self.conv(n, width)
        for level in range(1, 7):
            self.add_module(f"enc_conv{level}", self.conv(width, width))
        self.pool = nn.MaxPool2d(2)
        for level in (5, 4, 3, 2):
            self.add_module(f"dec_conv{level}a", self.conv(twice if level == 5 else twice + width, twice))
            self.add_module(f"dec_conv{level}b", self.conv(twice, twice))
        self.dec_conv1a = self.conv(twice + n, width * 4 // 3)
        self.dec_conv1b = self.conv(width * 4 // 3, width * 2 // 3)
        self.dec_conv1c = nn.Conv2d(width * 2 // 3, m, 3, padding=1)

    def conv(self, inputs: int, outputs: int) -> nn.Sequential:
        activation = nn.LeakyReLU(self.slope) if self.slope else nn.ReLU()
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), activation)

    def forward(self, x: Tensor) -> Tensor:
        skips = [x]
        y = self.enc_conv0(x)
        for level in range(1, 6):
            y = self.pool(getattr(self, f"enc_conv{level}")(y))
            skips.append(y)
        y = self.enc_conv6(skips.pop())
        for level in (5, 4, 3, 2, 1):
            y = torch.cat([F.interpolate(y, scale_factor=2), skips.pop()], dim=1)
            y = getattr(self, f"dec_conv{level}b")(getattr(self, f"dec_conv{level}a")(y))
        return self.dec_conv1c(y)


def dcgan_generator(width: int = 4, latent: int = 16) -> nn.Module:
    """Radford et al. 2015: 1x1 to 64x64."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, 8 * width, 4, 1, 0, bias=False)]
    for factor in (4, 2, 1):
        layers += [nn.BatchNorm2d(2 * factor * width), nn.ReLU(True)]
        layers.append(nn.ConvTranspose2d(2 * factor * width, factor * width, 4, 2, 1, bias=False))
    layers += [nn.BatchNorm2d(width), nn.ReLU(True), nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers)


class DcganDiscriminator(nn.Module):
    """Radford et al. 2015: 64x64 to one number, which torch's example flattens."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for factor in (1, 2, 4):
            layers.append(nn.Conv2d(factor * width, 2 * factor * width, 4, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(2 * factor * width), nn.LeakyReLU(0.2, inplace=True)]
        self.main = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 0, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x).flatten(1)


class SegNet(nn.Module):
    """Badrinarayanan et al. 2015: unpooling with the indices of the pools, to the sizes before them."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.enc1, self.enc2 = double(3, width, 1), double(width, 2 * width, 1)
        self.pool, self.unpool = nn.MaxPool2d(2, 2, return_indices=True), nn.MaxUnpool2d(2, 2)
        self.dec2, self.dec1 = double(2 * width, width, 1), double(width, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.enc1(x)
        pooled, indices1 = self.pool(one)
        two = self.enc2(pooled)
        pooled, indices2 = self.pool(two)
        x = self.dec2(self.unpool(pooled, indices2, output_size=two.size()))
        return self.dec1(self.unpool(x, indices1, output_size=one.size()))


class DeconvNet(nn.Module):
    """Noh et al. 2015: unpooling without given sizes, and transposed convolutions."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 2 * width, 3, padding=1)
        self.deconv2, self.deconv1 = (
            nn.ConvTranspose2d(2 * width, width, 3, padding=1),
            nn.ConvTranspose2d(width, 5, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x, indices1 = F.max_pool2d(F.relu(self.conv1(x)), 2, return_indices=True)
        x, indices2 = F.max_pool2d(F.relu(self.conv2(x)), 2, return_indices=True)
        x = F.relu(self.deconv2(F.max_unpool2d(x, indices2, 2)))
        return self.deconv1(F.max_unpool2d(x, indices1, 2))


class ResidualBlock(nn.Module):
    """Lim et al. 2017: no norms, and a scaled residual."""

    def __init__(self, width: int, scale: float = 0.1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(True), nn.Conv2d(width, width, 3, padding=1)
        )
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x).mul(self.scale)


class Edsr(nn.Module):
    """Lim et al. 2017: upsampling by 2 with a pixel shuffle."""

    def __init__(self, width: int = 8, blocks: int = 4) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)], nn.Conv2d(width, width, 3, padding=1))
        self.tail = nn.Sequential(
            nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(width, 3, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x / 255 - 0.5)
        return (self.tail(self.body(x) + x) + 0.5) * 255


class ResidualUnit(nn.Module):
    """Zeghidour et al. 2021: a dilated and a 1x1 convolution with a shortcut."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.pad = 6 * dilation
        self.conv = nn.Conv1d(width, width, 7, dilation=dilation)
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.elu(self.conv(F.pad(x, (self.pad, 0))))
        return x + F.elu(self.point(y))


class AudioCodec(nn.Module):
    """SoundStream's encoder and decoder (Zeghidour et al. 2021): strides 2, 4, 5, 8, causal."""

    def __init__(self, width: int = 4, strides: tuple[int, ...] = (2, 4, 5, 8)) -> None:
        super().__init__()
        encoder: list[nn.Module] = [nn.ConstantPad1d((6, 0), 0.0), nn.Conv1d(1, width, 7)]
        for stride in strides:
            encoder += [ResidualUnit(width, 1), ResidualUnit(width, 3), ResidualUnit(width, 9), nn.ELU()]
            encoder += [nn.ConstantPad1d((stride, 0), 0.0), nn.Conv1d(width, width, 2 * stride, stride)]
        self.encoder = nn.Sequential(*encoder, nn.Conv1d(width, 8, 3, padding=1))
        self.entry = nn.Conv1d(8, width, 7, padding=3)
        self.ups = nn.ModuleList([nn.ConvTranspose1d(width, width, 2 * stride, stride) for stride in strides[::-1]])
        self.units = nn.ModuleList([ResidualUnit(width, 3) for _ in strides])
        self.exit = nn.Conv1d(width, 1, 7, padding=3)
        self.strides = strides[::-1]

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(self.encoder(x))
        for up, unit, stride in zip(self.ups, self.units, self.strides, strict=True):
            x = unit(up(x)[..., :-stride])
        return torch.tanh(self.exit(x))


class DeepLabHead(nn.Module):
    """Chen et al. 2017: dilated branches, one with global pooling, and upsampling to the input size."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2),
        )  # fmt: skip
        self.branches = nn.ModuleList([nn.Conv2d(width, width, 1)])
        for rate in (6, 12, 18):
            self.branches.append(nn.Conv2d(width, width, 3, padding=rate, dilation=rate))
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1), nn.ReLU())
        self.project = nn.Conv2d(5 * width, 5, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.backbone(x)
        found = [branch(features) for branch in self.branches]
        whole = self.pooled(features)
        found.append(F.interpolate(whole, size=features.shape[-2:], mode="bilinear", align_corners=False))
        out = self.project(torch.cat(found, dim=1))
        return {"out": F.interpolate(out, size=x.shape[-2:], mode="bilinear", align_corners=False)}


class MobileNet(nn.Module):
    """Howard et al. 2017: depthwise and pointwise convolutions."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()]
        for stride in (1, 2, 1, 2):
            layers += [nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False), nn.BatchNorm2d(width)]
            layers += [nn.ReLU6(), nn.Conv2d(width, width * stride, 1, bias=False), nn.BatchNorm2d(width * stride)]
            width *= stride
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class ConvNeXtBlock(nn.Module):
    """Liu et al. 2022: channels-last layers between two permutations."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.pwconv2(self.act(self.pwconv1(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


def convnext(width: int = 8) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 4, 4), ConvNeXtBlock(width), ConvNeXtBlock(width))


class SqueezeExcitation(nn.Module):
    """Hu et al. 2018, as in most code: a view to two axes and one back to four."""

    def __init__(self, width: int = 8, reduction: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(width, width // reduction, bias=False), nn.ReLU(inplace=True),
            nn.Linear(width // reduction, width, bias=False), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class ChannelGates(nn.Module):
    """Squeeze-and-excitation with 1x1 convolutions on a map of size 1, pooled or averaged; both are broadcast."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gates = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, 2, 1), nn.SiLU(), nn.Conv2d(2, width, 1), nn.Sigmoid()) for _ in range(2)
        )
        self.down = nn.Conv2d(width, width, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x * self.gates[0](self.pool(x))
        x = self.down(x)
        return self.gates[1](x.mean((2, 3), keepdim=True)) * x


class Vae(nn.Module):
    """Kingma and Welling 2013: half of the encoder's channels are means, the other half log-variances."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(2 * width, 8, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(4, width, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        mean, log_variance = torch.chunk(self.encoder(x), 2, dim=1)
        sample = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decoder(sample), mean, log_variance


class LeNet(nn.Module):
    """LeCun et al. 1998, as in torch's tutorials: functions and a view; only one input size works."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return F.log_softmax(self.fc3(F.dropout(F.relu(self.fc2(F.relu(self.fc1(x)))))), dim=1)


@dataclass(frozen=True)
class Model:
    """A model and three input shapes that it accepts."""

    name: str
    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]

    def __str__(self) -> str:
        return self.name


def squares(channels: int, *sizes: int | tuple[int, int]) -> tuple[tuple[int, ...], ...]:
    return tuple((channels, *(size if isinstance(size, tuple) else (size, size))) for size in sizes)


MODELS = (
    Model("vgg16", Vgg16, squares(3, 64, (96, 65), 127)),
    Model("resnet18", lambda: ResNet(BasicBlock, (2, 2, 2, 2)), squares(3, 64, (65, 97), 33)),
    Model("resnet50", lambda: ResNet(Bottleneck, (3, 4, 6, 3)), squares(3, 64, (65, 97), 33)),
    Model("unet-crop", CroppingUNet, squares(1, 108, (116, 140), 92)),
    Model("unet-pad", PaddingUNet, squares(3, 33, (40, 51), 32)),
    Model("unet-resize", ResizingUNet, squares(3, 45, (38, 51), 32)),
    Model("noise2noise", lambda: Noise2Noise(width=6), squares(3, 64, (32, 96), 160)),
    Model("dcgan-generator", dcgan_generator, squares(16, 1, 2, (1, 3))),
    Model("dcgan-discriminator", DcganDiscriminator, squares(3, 64, 80, (96, 64))),
    Model("segnet", SegNet, squares(3, 33, (30, 46), 32)),
    Model("deconvnet", DeconvNet, squares(3, 32, (36, 48), 33)),
    Model("edsr", Edsr, squares(3, 16, (9, 12), 7)),
    Model("audio-codec", AudioCodec, ((1, 640), (1, 1000), (1, 327))),
    Model("deeplab", DeepLabHead, squares(3, 65, (64, 91), 33)),
    Model("mobilenet", MobileNet, squares(3, 64, (50, 35), 33)),
    Model("convnext", convnext, squares(3, 32, (64, 40), 31)),
    Model("vae", Vae, squares(3, 32, (28, 13), 9)),
    Model("squeeze-excitation", SqueezeExcitation, squares(3, 14, (7, 9), 8)),
    Model("channel-gates", ChannelGates, squares(3, 14, (7, 9), 8)),
)
"""All models, each with three input shapes that it accepts."""
